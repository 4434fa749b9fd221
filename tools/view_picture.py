"""A picture of the view's page for the docs, taken in a headless Chromium (software rendering takes its time).

    pip install playwright        (and a Chromium, named with --browser)
    tracker process single_face.mp4 -o single_face.npz --appearance on
    tracker view single_face.npz --video single_face.mp4 --web 9090
    python tools/view_picture.py http://127.0.0.1:9090 docs/images/view.jpg

Prints which hosts the page asked and which requests the page's policy refused.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path
from urllib.parse import urlparse

from PIL import Image
from playwright.sync_api import sync_playwright

_WEBGL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--wait", type=float, default=75.0, help="seconds until everything has been read")
    args = parser.parse_args()
    answered, refused = set(), set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.browser, args=_WEBGL)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.on("requestfinished", lambda request: answered.add(urlparse(request.url).netloc))
        page.on("requestfailed", lambda request: refused.add(urlparse(request.url).netloc))
        page.goto(args.page)
        time.sleep(args.wait)
        shot = page.screenshot(timeout=120_000)
        browser.close()
    Image.open(io.BytesIO(shot)).convert("RGB").save(args.picture, quality=88)
    print(f"answered: {', '.join(sorted(answered))}; failed: {', '.join(sorted(refused)) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
