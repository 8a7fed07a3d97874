#!/bin/sh
# Puts the compiled kernels where they may be written to (the image itself may be read-only), and becomes homeostat.
set -eu
if [ -w "$NUMBA_CACHE_DIR" ]; then
  cp -R -p -n /opt/homeostat/kernels/. "$NUMBA_CACHE_DIR/"
fi
exec homeostat "$@"
