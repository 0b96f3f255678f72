#!/bin/bash
# Runs COMMAND, in bash and as root, in a throw-away VM: Tests/VM/vm.sh [--kernel 6.1|6.12|newest] [--system DIR] COMMAND
#
# The VM sees the host's /usr and this checkout, both read-only and in their places; all else lies on a disk of its own, an
# ext4, which goes away with it. It has no network. Its one cgroup hierarchy is version 2 with every controller enabled.
# There are two users: root, and `user` (1000). Neither KVM nor root is needed: QEMU emulates, about 15 times slower than
# the machine. Prints what the command prints, stdout and stderr as one, and exits with its status; with 124 when its time
# is over, with 125 when there is no VM to be had.
#
# --system DIR gives it the /usr and /etc of another installation, such as debootstrap makes.
#
#   AEGIX_VM_TIMEOUT  seconds (600)     AEGIX_VM_MEMORY  MiB (2048)     AEGIX_VM_CPUS  (2)
#   AEGIX_VM_CACHE    where kernels stay (~/.cache/aegix-vm)            AEGIX_VM_DEBUG=1  shows the kernel's console
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=${here%/Tests/VM}
die() { echo "vm: $*" >&2; exit 125; }

kernel=6.12
system=
while [[ ${1:-} == --* ]]; do
    case $1 in
    --kernel) kernel=${2:-} ;;
    --system) system=$(cd "${2:-/nonexistent}" && pwd) || die "--system needs a directory" ;;
    *) die "unknown option $1" ;;
    esac
    shift 2 || die "an option needs a value"
done
[ $# = 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 125; }

PATH=$PATH:/usr/sbin:/sbin
for need in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static mke2fs:e2fsprogs; do
    command -v "${need%:*}" >/dev/null || die "${need%:*} is missing: apt-get install ${need#*:}"
done
! ldd "$(command -v busybox)" >/dev/null 2>&1 || die "busybox isn't static: apt-get install busybox-static"
kernel=$("$here/kernel.sh" "$kernel") || exit 125

run=$(mktemp -d "${TMPDIR:-/tmp}/aegix-vm.XXXXXX")
qemu=
remove() {
    local code=$?
    trap - EXIT
    [ -z "$qemu" ] || { kill "$qemu" 2>/dev/null && wait "$qemu"; } || true
    rm -rf "$run"
    exit "$code"
}
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# The disk. Of the host's /etc it gets what programs need to be found, and neither users nor secrets.
root=$run/root
mkdir -p "$root"/{dev,proc,sys,run,tmp,usr,root,etc,home/user,var/{tmp,lib,log}}
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
for name in alternatives ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf login.defs pam.d localtime; do
    [ ! -e "$system/etc/$name" ] || cp -R -P "$system/etc/$name" "$root/etc" 2>/dev/null || true
done
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
user:x:1000:1000:user:/home/user:/bin/bash
END
printf '%s:x:%s:\n' root 0 daemon 1 tty 5 utmp 43 user 1000 nogroup 65534 >"$root/etc/group"
sed 's/:.*/:*:20000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
sed 's/:.*/:*::/' "$root/etc/group" >"$root/etc/gshadow"
printf '127.0.0.1 localhost vm\n::1 localhost\n' >"$root/etc/hosts"
echo vm >"$root/etc/hostname"
chmod 600 "$root"/etc/{,g}shadow
truncate -s 8G "$run/disk"
mke2fs -q -F -t ext4 -m 0 -O ^has_journal -E lazy_itable_init=1,nodiscard,root_owner=0:0 -d "$root" "$run/disk" ||
    die "can't make the disk"

# The initramfs.
boot=$run/boot
mkdir -p "$boot/bin"
cp "$(command -v busybox)" "$boot/bin/busybox"
cp "$here/init.sh" "$boot/init"
cp -R "$kernel/modules" "$boot/modules"
printf '%s\n' /usr "$checkout" >"$boot/views"
printf '%s\n' "$system/usr" "$checkout" >"$run/shares"
{
    for name in AEGIX_MUST_WORK AEGIX_SEED CI; do
        [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
    done
    printf 'cd %q\n%s\n' "$checkout" "$1"
} >"$boot/command"
chmod +x "$boot/init"
(cd "$boot" && find . | busybox cpio -o -H newc 2>/dev/null) >"$run/initramfs"

quiet="quiet loglevel=3"
[ -z "${AEGIX_VM_DEBUG:-}" ] || quiet=
arguments=(
    -accel tcg,thread=multi -cpu max -machine q35 -nodefaults -no-user-config -display none -no-reboot
    -m "${AEGIX_VM_MEMORY:-2048}" -smp "${AEGIX_VM_CPUS:-2}"
    -kernel "$kernel/vmlinuz" -initrd "$run/initramfs" -append "console=ttyS0 panic=-1 mitigations=off $quiet"
    -serial "file:$run/console"
    -drive "file=$run/disk,format=raw,if=virtio,cache=unsafe"
    -device virtio-serial-pci
    -chardev stdio,id=output,signal=off -device virtserialport,chardev=output,nr=1
    -chardev "file,id=status,path=$run/status" -device virtserialport,chardev=status,nr=2
)
view=0
while read -r path; do
    arguments+=(-virtfs "local,path=$path,mount_tag=view$view,security_model=none,multidevs=remap,readonly=on")
    view=$((view + 1))
done <"$run/shares"

# A stdin that never ends and never says anything: at its end QEMU would take the output for closed, too.
mkfifo "$run/silence"
exec 3<>"$run/silence"
setpriv --pdeathsig TERM timeout -k 5 "${AEGIX_VM_TIMEOUT:-600}" qemu-system-x86_64 "${arguments[@]}" <&3 2>"$run/errors" &
qemu=$!
code=0
wait "$qemu" || code=$?
qemu=
[ -z "${AEGIX_VM_DEBUG:-}" ] || cat "$run/console" >&2
if [ -s "$run/status" ]; then
    exit "$(cat "$run/status")"
fi
tail -q -n 20 "$run/console" "$run/errors" >&2 || true
if [ "$code" = 124 ]; then
    echo "vm: still running after ${AEGIX_VM_TIMEOUT:-600} s" >&2
    exit 124
fi
die "the VM ended without an exit status (QEMU's is $code)"
