"""Where the binary is, and with what environment it finds libtorch."""

import os
import sys

from ._errors import Hw1Error as Hw1Error

TORCH = "2.11"  # the libtorch that the binary is linked against; scripts/wheel holds it against scripts/setup
CPU_BUILD = "pip install 'torch==2.11.*' --index-url https://download.pytorch.org/whl/cpu"

_HERE = os.path.dirname(os.path.abspath(__file__))
_MAC = sys.platform == "darwin"


def command() -> tuple[list[str], dict[str, str]]:
    """The words that a command line begins with, the first an absolute path, and the environment to add.

    The binary of a wheel, else the path in the environment variable HW1, else scripts/hw1 of the checkout that this
    file lies in, else hw1 on the PATH. Imports nothing that takes long: PyTorch is looked at, not loaded.

    Raises Hw1Error where there is none of them, or for the wheel's no PyTorch of the version it is made for.
    """
    binary = os.path.join(_HERE, "bin", "hw1")
    if os.path.exists(binary):
        return [binary], _environment(binary)
    named = os.environ.get("HW1")
    if named:
        if not _runs(named):
            raise Hw1Error(f"HW1 is set to {named}, which is no program; set it to the path of hw1's binary, or unset it")
        return [os.path.abspath(named)], {}
    checkout = os.path.dirname(os.path.dirname(_HERE))
    script = os.path.join(checkout, "scripts", "hw1")
    if os.path.exists(os.path.join(checkout, "Cargo.toml")) and _runs(script):
        return [script], {}
    for folder in os.get_exec_path():
        found = os.path.abspath(os.path.join(folder, "hw1"))
        # What asks may itself be called hw1, and would start itself for ever.
        if _runs(found) and os.path.realpath(found) != os.path.realpath(sys.argv[0]):
            return [found], {}
    raise Hw1Error(
        f"there is no binary in {_HERE} and no hw1 on the PATH: install the wheel (pip install hw1), or set HW1 to its path"
    )


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _environment(binary: str) -> dict[str, str]:
    """What the wheel's binary needs to find libtorch: nothing where PyTorch lies beside, in the same site-packages."""
    beside = os.path.normpath(os.path.join(os.path.realpath(binary), "..", "..", "..", "torch"))
    torch = beside if _has_libtorch(beside) else _elsewhere()
    version = torch and _version(torch)
    if not torch or not version:
        raise Hw1Error(f"needs PyTorch {TORCH}, and there is none for {sys.executable}; the build for CPU: {CPU_BUILD}")
    if not version.startswith(TORCH + "."):
        raise Hw1Error(
            f"needs PyTorch {TORCH}, and {torch} is {version}; install it (pip install 'torch=={TORCH}.*'; "
            f"the build for CPU: {CPU_BUILD}) or another hw1"
        )
    if torch == beside:
        return {}
    name = "DYLD_LIBRARY_PATH" if _MAC else "LD_LIBRARY_PATH"
    before = os.environ.get(name)
    library = os.path.join(torch, "lib")
    return {name: f"{library}{os.pathsep}{before}" if before else library}


def _has_libtorch(torch: str) -> bool:
    return os.path.exists(os.path.join(torch, "lib", "libtorch_cpu.dylib" if _MAC else "libtorch_cpu.so"))


def _elsewhere() -> str | None:
    """PyTorch's folder by Python's path; where an import hook alone knows it, by that."""
    for folder in sys.path:
        torch = os.path.abspath(os.path.join(folder, "torch"))
        if _has_libtorch(torch):
            return torch
    from importlib.util import find_spec

    found = find_spec("torch")
    places = found.submodule_search_locations if found else None
    return next((place for place in places or [] if _has_libtorch(place)), None)


def _version(torch: str) -> str | None:
    """What PyTorch calls itself: "2.11.0+cpu". None where it does not say."""
    try:
        with open(os.path.join(torch, "version.py"), encoding="utf-8") as file:
            for line in file:
                name, _, value = line.partition("=")
                if name.strip() == "__version__":
                    return value.strip().strip("'\"")
    except OSError:
        pass
    return None
