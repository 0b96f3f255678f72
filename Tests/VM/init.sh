#!/bin/busybox sh
# The VM's first process, twice: in the initramfs it puts a machine together on the disk, then, as `init.sh run` in that
# machine, it runs /.vm/command and ends with it. vm.sh lays beside it modules/, in the order of loading, views and command.

fail() {
    echo "vm: $*" >/dev/console
    poweroff -f
}

if [ "${1:-}" != run ]; then
    /bin/busybox mkdir /proc /sys /dev /new
    /bin/busybox --install -s /bin
    mount -t proc proc /proc
    mount -t devtmpfs dev /dev
    for module in /modules/*; do insmod "$module" || fail "can't load $module"; done
    mount -t ext4 -o noatime,noinit_itable /dev/vda /new || fail "can't mount the disk"
    cd /new
    # What is cached loosely keeps its inodes from one look to the next, and Landlock's rules go by inode.
    view=0
    while read -r path; do
        mkdir -p ".$path"
        mount -t 9p -o "ro,trans=virtio,version=9p2000.L,msize=512000,access=any,cache=loose" "view$view" ".$path" ||
            fail "can't mount $path"
        view=$((view + 1))
    done </views
    # QEMU may have been run by a user, who made these.
    chown -R -h 0:0 etc root tmp var
    chown 1000:1000 home/user
    chmod 700 root
    chmod 1777 tmp var/tmp

    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t sysfs -o nosuid,nodev,noexec sys sys
    mount -t devtmpfs -o nosuid dev dev
    mkdir -p dev/pts dev/shm dev/mqueue
    mount -t devpts -o ptmxmode=666,mode=620,gid=5 pts dev/pts
    mount -t tmpfs -o nosuid,nodev,mode=1777 shm dev/shm
    mount -t mqueue mqueue dev/mqueue
    mount -t tmpfs -o nosuid,nodev,mode=755 run run
    mount -t securityfs securityfs sys/kernel/security
    for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "${link#*:}" "dev/${link%%:*}"; done
    mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 sys/fs/cgroup || fail "can't mount cgroup2"
    for controller in $(cat sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" >sys/fs/cgroup/cgroup.subtree_control
    done
    hostname vm
    ip link set lo up

    mkdir .vm
    cp /bin/busybox /init /command .vm
    umount /proc /dev
    exec switch_root /new /.vm/busybox sh /.vm/init run
fi

# Output goes through a pipe, as a program's does that is run by another, and from there to QEMU's stdout.
busybox=/.vm/busybox
$busybox mkfifo -m 600 /.vm/output
$busybox cat </.vm/output >/dev/vport0p1 &
relay=$!
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LANG=C.UTF-8 NO_COLOR=1
$busybox setsid /bin/bash /.vm/command </dev/null >/.vm/output 2>&1
code=$?
# Something that was left running may hold the pipe open.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 $relay 2>/dev/null || break
    $busybox sleep 0.2
done
echo $code >/dev/vport0p2
$busybox poweroff -f
