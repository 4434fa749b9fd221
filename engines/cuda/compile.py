"""CUDA C to machine code with NVRTC, which is a wheel and needs no GPU."""

from __future__ import annotations

from typing import Any, Final

from engines.errors import EngineError

INSTALL: Final = "pip install 'facestream-tracker[tensorrt]'"


def compile_cuda(source: str, name: str, architecture: str, *, machine_code: bool = True) -> bytes:
    """Compile CUDA C.

    Args:
        source: the program.
        name: its file's name, for messages.
        architecture: such as ``sm_86``.
        machine_code: a cubin for this architecture, which any driver of the same CUDA major version loads; else PTX, which newer
            GPUs take too but only drivers at least as new as the compiler.

    Raises:
        EngineError: NVRTC is not installed, does not know the architecture, or the program has errors.
    """
    nvrtc = _nvrtc()
    program = _checked(nvrtc, nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], []), name)
    try:
        kind = architecture if machine_code else architecture.replace("sm_", "compute_")
        options = [f"--gpu-architecture={kind}".encode(), b"--std=c++17"]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            log = bytearray(_checked(nvrtc, nvrtc.nvrtcGetProgramLogSize(program), name))
            nvrtc.nvrtcGetProgramLog(program, log)
            said = bytes(log).decode(errors="replace").strip("\0 \n") or status.name
            raise EngineError(f"{name} does not compile for {architecture}: {said.splitlines()[0]}")
        size_of, get = (
            (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
            if machine_code
            else (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
        )
        code = bytearray(_checked(nvrtc, size_of(program), name))
        _checked(nvrtc, get(program, code), name)
        return bytes(code)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc

        # The binding looks for the library on the first call.
        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EngineError(f"the CUDA compiler NVRTC does not load ({reason}); run: {INSTALL}") from None
    return nvrtc


def _checked(nvrtc: Any, answer: tuple[Any, ...], name: str) -> Any:
    if answer[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise EngineError(f"{name}: NVRTC fails with {answer[0].name}")
    return answer[1] if len(answer) > 1 else None
