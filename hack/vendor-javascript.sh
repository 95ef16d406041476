#!/bin/sh
# Put the JavaScript libraries of the dashboard into its folder, with their licences, in the versions
# that its package.json names. Needs npm. The page itself needs no build step.
set -eu

vendor=$(cd "$(dirname "$0")/.." && pwd)/svclink_controller/dashboard/static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$work" && cp "$vendor/package.json" . && npm install --ignore-scripts --silent)
for module in htm/dist/htm.module.js preact/dist/preact.mjs; do
    library=${module%%/*}
    # The comment at the end names a source map, which is not shipped.
    sed 's,^//# sourceMappingURL=.*,,' "$work/node_modules/$module" >"$vendor/$library.module.js"
    cp "$work/node_modules/$library/LICENSE" "$vendor/$library.LICENSE.txt"
done
