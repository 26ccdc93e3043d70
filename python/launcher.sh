#!/bin/sh
# hw1 as a wheel puts it on the PATH: becomes the binary in site-packages. Where PyTorch lies beside that, as in a
# virtual environment, without Python, whose start takes as long as all else here; elsewhere Python finds PyTorch.
self=$0
[ ! -h "$self" ] || self=$(readlink -f -- "$self")
case $self in
    */*) bin=${self%/*} ;;
    *) bin=. ;;
esac
site=
for found in "$bin"/../lib/python3.*/site-packages "$bin"/../lib64/python3.*/site-packages \
    "$bin"/../local/lib/python3.*/dist-packages "$bin"/../lib/python3.*/dist-packages "$bin"/..; do
    [ -e "$found/hw1-@VERSION@.dist-info" ] || continue
    site=$found
    [ -e "$site/torch/version.py" ] || continue
    while read -r name _ version; do
        [ "$name" != __version__ ] || break
    done <"$site/torch/version.py"
    case $version in
        \'@TORCH@.*) exec "$site/hw1/bin/hw1" "$@" ;;
    esac
done
if [ -z "$site" ]; then
    echo "hw1: error: there is no hw1 @VERSION@ for $self to start; install the wheel again" >&2
    exit 1
fi
# That of this site-packages, else whichever there is.
name=${site%/*}
name=${name##*/}
for python in "$bin/$name" "$name" "$bin/python3" python3; do
    command -v "$python" >/dev/null || continue
    exec "$python" -c 'import sys; sys.path.insert(0, sys.argv.pop(1)); from hw1._launch import main; main()' "$site" "$@"
done
echo "hw1: error: there is no PyTorch @TORCH@ in $site, and no Python to find one elsewhere: pip install 'torch==@TORCH@.*'" >&2
exit 1
