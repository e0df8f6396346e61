"""The two texts in an offline bundle that are read where it is installed: install.sh and README.txt."""

from __future__ import annotations

from briges.engines.offline_folder import OfflineBundle
from briges.engines.offline_targets import TARGETS

# Plain POSIX sh. Placeholders are between @, which the shell gives no meaning of its own in these places.
_INSTALL = r"""#!/bin/sh
# Installs briges-trt from this folder. Uses no network and no package index.
#   sh install.sh [FOLDER]      a new environment in FOLDER, ~/briges if it is not given
#   PYTHON=python@PYTHON@ sh install.sh     with that Python instead of python3
set -eu

fail() { # what came, the cure
    printf 'Error: %s\n  cure: %s\n' "$1" "$2" >&2
    exit 1
}

case "${1:-}" in -*) fail "unknown option $1" "sh install.sh [FOLDER]" ;; esac
[ "$#" -le 1 ] || fail "$# arguments" "sh install.sh [FOLDER]"
folder=${1:-$HOME/briges}
case "$folder" in /*) ;; *) folder=$PWD/$folder ;; esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$here"
python=${PYTHON:-python3}

echo "checking this folder's files ..."
sha256sum --check --quiet SHA256SUMS >&2 || fail "files are damaged or missing, see above" "copy the folder here again"

machine=$(uname -m)
[ "$machine" = "@MACHINE@" ] ||
    fail "this machine is $machine; the folder was made for @TARGET@, @MACHINE@" "make one with another --target"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
    fail "$python does not run" "install Python @PYTHON@, or name it: PYTHON=... sh install.sh"
[ "$found" = "@PYTHON@" ] ||
    fail "$python is Python $found; the wheels are for @PYTHON@" "name that one: PYTHON=python@PYTHON@ sh install.sh"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make environments" "apt install python@PYTHON@-venv, as long as there is a network"
if [ -e "$folder" ] && [ ! -f "$folder/pyvenv.cfg" ] && [ -n "$(ls -A -- "$folder")" ]; then
    fail "$folder exists and is no Python environment" "name another folder: sh install.sh FOLDER"
fi

echo "installing into $folder ..."
# With the system's packages, as JetPack's TensorRT is one. No configuration of pip may bring an index back.
"$python" -m venv --system-site-packages "$folder" ||
    fail "no environment in $folder, see above" "free some space, or name another folder"
PIP_CONFIG_FILE=/dev/null "$folder/bin/python" -m pip --isolated install --quiet --disable-pip-version-check \
    --no-index --find-links wheels --require-hashes --requirement requirements.txt ||
    fail "pip cannot install the wheels, see above" "free some space and run this again; it goes on"

echo "what this machine can do now:"
if "$folder/bin/briges" doctor; then
    echo "Installed. Next: . '$folder/bin/activate', then README.txt, step 3."
else
    echo "Installed, but this machine can run no engine yet: see the cures above."
fi
"""

_README = """briges-trt {version}, offline, for {title}

Everything to install it without a network on {machine} with Python {python} and a driver for CUDA {cuda} or later.
TensorRT is not in here: it is the system's own, as JetPack or NVIDIA's packages install it.

1. Copy this folder to the device. From the system's packages it needs python{python}-venv, TensorRT with its Python
   module, and g++ with TensorRT's headers (libnvinfer-dev) for the attention plugin.
2. sh install.sh [FOLDER]
   compares every file with SHA256SUMS, makes a Python environment in FOLDER (~/briges if it is not given), installs
   the wheels by their hashes, and shows with `briges doctor` what the device can do.
3. In this folder, with the environment active (. ~/briges/bin/activate):
   briges build MODEL_DIR --out ENGINE        builds on the device, and compares the result with PyTorch's
   briges infer ENGINE photo.jpg --out depth

{plugin}
{included}
To remove it, delete FOLDER and this folder.
"""
_PLUGIN = """build/plugin holds the attention plugin's compiled kernels. `briges build`, run in this folder,
finds them and compiles the C++ part with the device's own headers; its sources are in the wheel.
"""
_NO_PLUGIN = """No attention plugin is in here, since there was no build/plugin where this was made: engines get native
attention. To have it, run `briges plugin` there and make this folder again.
"""


def install_script(bundle: OfflineBundle) -> str:
    """The text of install.sh for ``bundle``."""
    text = _INSTALL
    for name, value in (("PYTHON", bundle.python), ("MACHINE", bundle.machine), ("TARGET", bundle.target)):
        text = text.replace(f"@{name}@", value)
    return text


def readme(bundle: OfflineBundle) -> str:
    """The text of README.txt for ``bundle``."""
    listed = "".join(f"  included/{name}\n" for name in bundle.included)
    return _README.format(
        version=bundle.tool_version,
        title=TARGETS[bundle.target].title,
        machine=bundle.machine,
        python=bundle.python,
        cuda=bundle.cuda_major,
        plugin=_PLUGIN if bundle.plugin else _NO_PLUGIN,
        included=f"Models and engine bundles, verified when they were packed:\n{listed}" if listed else "",
    )
