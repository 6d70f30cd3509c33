#!/bin/sh
# Prints the Python to make .venv with: the one named, or the first of 3.11 or newer that has venv.
set -eu

fit() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

for python in ${1:-python3 python3.13 python3.12 python3.11 python}; do
    if fit "$python"; then
        echo "$python"
        exit
    fi
done

{
    echo "Timeball needs Python 3.11 or newer with its venv module. Looked at:"
    for python in ${1:-python3 python3.13 python3.12 python3.11 python}; do
        if ! command -v "$python" >/dev/null; then
            echo "  $python: not found"
        elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "  $python: too old or broken ($("$python" --version 2>&1 | head -n 1))"
        else
            echo "  $python: has no venv (on Debian and Ubuntu: apt install python3-venv)"
        fi
    done
    echo "Name another one with: make PYTHON=/path/to/python3.12 install"
} >&2
exit 1
