#!/bin/bash
# Fetches one of Debian's kernels and prints the directory that it lies in: Tests/VM/kernel.sh 6.1|6.12|newest
#
# The directory holds `vmlinuz`, `release` and `modules/`, what the VM needs of them, numbered in the order of loading. It
# stays in the cache; remove it to fetch anew. The packages come from the Debian archive that this machine's apt knows, by
# way of an apt state of our own: nothing is installed, and the machine's package lists stay as they are.
set -euo pipefail

die() { echo "vm: $*" >&2; exit 125; }

# The suites to look in. The newest kernel is the highest version of any of them.
case ${1:-} in
6.1) suites=(bookworm bookworm-security) ;;
6.12) suites=(trixie trixie-security) ;;
newest) suites=(unstable stable-backports trixie-backports) ;;
*) die "which kernel? 6.1, 6.12 or newest" ;;
esac
modules=(virtio_pci virtio_blk virtio_console 9pnet_virtio 9p crc32c_generic ext4 overlay loop veth)

kernel=${AEGIX_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegix-vm}/$1
mkdir -p "$(dirname "$kernel")"
exec 9>"$kernel.lock"
flock -w 900 9 || die "another fetch of kernel $1 doesn't come to its end"
if [ "$(cat "$kernel/holds" 2>/dev/null)" = "${modules[*]}" ]; then
    echo "$kernel"
    exit
fi

work=$kernel.new
rm -rf "$work" "$kernel"
trap 'rm -rf "$work"' EXIT
trap 'exit 125' INT TERM HUP
mkdir -p "$work"/apt/{lists,cache/archives}/partial "$work/debs" "$work/root/usr/lib" "$work/modules"

# The addresses of the archives with this label, Debian or Debian-Security.
archives() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^Debian|$1|//p" | sort -u
}

command -v apt-get >/dev/null || die "there is no apt-get here, and the kernels are Debian's"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
for suite in "${suites[@]}"; do
    label=Debian
    [[ $suite != *-security ]] || label=Debian-Security
    archives "$label" | sed "s|.*|deb [signed-by=$keys check-valid-until=no] & $suite main|"
done >"$work/apt/sources.list"
[ -s "$work/apt/sources.list" ] || die "apt knows no Debian archive to fetch kernel $1 from. Is one among its sources, and was it updated: apt-get update?"

# Left to itself, apt ranks backports below every other suite.
printf 'Package: linux-*\nPin: version *\nPin-Priority: 500\n' >"$work/apt/preferences"
cat >"$work/apt/conf" <<CONF
Dir::Etc::sourcelist "$work/apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "$work/apt/preferences"; Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$work/apt/lists"; Dir::Cache "$work/apt/cache";
APT::Architecture "amd64"; APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Retries "3"; Acquire::http::Timeout "60";
CONF
export APT_CONFIG=$work/apt/conf

# needs PACKAGE PATTERN: the packages of that form that it depends on.
needs() { apt-cache depends "$1" | sed -nE "s/^ *Depends: (linux-($2)-[0-9].*)/\1/p"; }

echo "vm: fetching kernel $1" >&2
timeout 600 apt-get -qq update >&2 || true # A suite that isn't to be had matters only if no kernel is found.
image=$(needs linux-image-amd64 image) || true
[ -n "$image" ] || die "can't fetch kernel $1: there is no linux-image-amd64 in ${suites[*]}"
(cd "$work/debs" && timeout 900 apt-get -qq download "$image" $(needs "$image" 'binary|modules')) >&2 ||
    die "can't fetch kernel $1: $image can't be downloaded"

# /lib is a link to usr/lib, as on the machines that the packages are for.
ln -s usr/lib "$work/root/lib"
for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$work/root"
done
release=$(ls "$work/root/usr/lib/modules")
[[ $1 == newest || $release == "$1".* ]] || die "the suites ${suites[*]} have kernel $release, not $1"
busybox depmod -b "$work/root" "$release"
cd "$work/root/usr/lib/modules/$release"

# A line of modules.dep is "module: nearest dependency … farthest". What is built into the kernel has none.
for module in "${modules[@]}"; do
    awk -F '[: ]+' -v "name=/$module[.]ko" '$1 ~ name { for (i = NF; i; i--) if ($i) print $i }' modules.dep
done | awk '!seen[$0]++' >"$work/order"
number=100
while read -r module; do
    name=$(basename "${module%.xz}")
    case $module in
    *.xz) busybox xzcat "$module" ;;
    *) cat "$module" ;;
    esac >"$work/modules/$number-$name"
    number=$((number + 1))
done <"$work/order"
cd /
cp "$(find "$work/root" -name 'vmlinuz*' -type f)" "$work/vmlinuz"
echo "$release" >"$work/release"
echo "${modules[*]}" >"$work/holds"
rm -rf "$work/apt" "$work/debs" "$work/root" "$work/order"
mv "$work" "$kernel"
echo "$kernel"
