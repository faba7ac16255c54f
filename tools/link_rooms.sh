#!/usr/bin/env bash
# Shows the rooms under their import name: build/types/sasmamba holds a link to each. For what does not follow
# setuptools' mapping of folders to import names: type checkers, and an environment that holds no install of this.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -L build/types/sasmamba ]; then rm build/types/sasmamba; fi
mkdir -p build/types/sasmamba
for room in app common models training weights api/*.py api/py.typed; do
    ln -sfn "../../../$room" "build/types/sasmamba/$(basename "$room")"
done
