#!/usr/bin/env bash
# Cuts the power of a log on a real ext4, again and again, and holds what is left against what was
# acknowledged: see tests/src/proof/block.
#
#   tests/power_cut_ext4.sh                           1,000 images
#   tests/power_cut_ext4.sh --images 150 --seed 7
#
# What follows is for the program itself:
#
#   tests/power_cut_ext4.sh probe                     what is missing here; nothing is printed if nothing is
#   tests/power_cut_ext4.sh record FOLDER PROGRAM...  PROGRAM works on an ext4 on FOLDER/mount; every
#                                                     write and flush of it is in FOLDER/writes
#   tests/power_cut_ext4.sh look FOLDER PROGRAM...    PROGRAM mounts images of its own on FOLDER/mount
#
# Mounts are in a mount namespace of their own. The daemon, the loop device and the mounts go when
# this ends, however it ends.
set -Eeuo pipefail

# Bytes of the file system.
readonly SIZE=$((112 << 20))
# Seconds that a program may take.
readonly LIMIT=${FACTLOG_BLOCK_LIMIT:-300}

probe() {
    [ "$(uname -s)" = Linux ] || { echo "ext4 is tried on Linux only"; return; }
    [ "$(id -u)" -eq 0 ] || { echo "mounting needs root"; return; }
    [ -c /dev/fuse ] || { echo "there is no /dev/fuse"; return; }
    [ -c /dev/loop-control ] || { echo "there are no loop devices"; return; }
    local tool
    for tool in qemu-storage-daemon mkfs.ext4 losetup unshare mount umount timeout; do
        command -v "$tool" >/dev/null 2>&1 || { echo "there is no $tool"; return; }
    done
    # Not every build of the daemon has the export. (Its whole text first: a pipe that is closed early
    # would end it with a signal.)
    local help
    help=$(qemu-storage-daemon --help 2>&1) || true
    case $help in
        *"fuse,id="*) ;;
        *) echo "this qemu-storage-daemon exports nothing by FUSE"; return ;;
    esac
    # A kernel may have the devices, and not let them be used.
    unshare -m true 2>/dev/null || { echo "no mount namespace is to be had"; return; }
    losetup --find >/dev/null 2>&1 || { echo "no loop device is free"; return; }
}

daemon=
loop=
program=
interrupted=
clean_up() {
    trap - EXIT
    if [ -n "$program" ]; then
        kill "$program" 2>/dev/null || true
        wait "$program" 2>/dev/null || true
    fi
    umount "$folder/mount" 2>/dev/null || true
    [ -z "$loop" ] || losetup --detach "$loop" || true
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    # Whoever made the folder removes it, unless it was killed, or is about to be with this.
    if [ -n "$interrupted" ] || ! kill -0 "$PPID" 2>/dev/null; then
        cd /
        rm -rf --one-file-system "$folder"
    fi
}

# Runs the program so that a signal to this script is seen at once, and the program goes with it.
attend() {
    timeout --kill-after=5 "$LIMIT" "$@" &
    program=$!
    local status=0
    wait "$program" || status=$?
    program=
    return "$status"
}

# Sets up what a program is recorded on. What fails here is missing, and no breach of a promise.
set_up() {
    mkdir -p mount
    if [ ! -f disk ]; then
        truncate -s "$SIZE" disk
        mkfs.ext4 -q -F -b "${FACTLOG_BLOCK_SIZE:-4096}" -J size=4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 disk >&2
    fi
    cp --sparse=always disk before
    : >writes
    rm -f export
    : >export
    qemu-storage-daemon \
        --blockdev driver=file,node-name=disk,filename=disk \
        --blockdev driver=file,node-name=writes,filename=writes \
        --blockdev driver=blklogwrites,node-name=recorded,file=disk,log=writes \
        --export "type=fuse,id=export,node-name=recorded,mountpoint=$folder/export,writable=on" >&2 &
    daemon=$!
    # The export stands in for the empty file.
    for _ in $(seq 500); do
        [ ! -s export ] || break
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.01
    done
    [ -s export ] || { echo "qemu-storage-daemon exports nothing" >&2; return 1; }
    # Not with direct I/O: that has several requests under way at once, and daemons before 10.1 mix up
    # the bytes of writes that come together. Each write is passed on at once all the same.
    loop=$(losetup --show --find export)
    mount -t ext4 -o "noatime,${FACTLOG_BLOCK_MOUNT:-data=ordered}" "$loop" mount
}

record() {
    cd "$folder"
    # Not as a condition: then no failure in it would end it.
    trap 'exit 77' ERR
    set_up
    trap - ERR
    attend "$@" >report
    umount mount
    losetup --detach "$loop"
    loop=
    kill "$daemon"
    wait "$daemon" || true
    daemon=
}

look() {
    cd "$folder"
    mkdir -p mount
    attend "$@"
}

case ${1:-} in
    probe)
        probe
        ;;
    record | look)
        if [ "${FACTLOG_BLOCK_INSIDE:-}" != 1 ]; then
            FACTLOG_BLOCK_INSIDE=1 exec unshare -m --propagation private "$0" "$@"
        fi
        what=$1
        folder=$2
        shift 2
        trap clean_up EXIT
        trap 'interrupted=1; exit 130' INT
        trap 'interrupted=1; exit 143' TERM HUP
        "$what" "$@"
        ;;
    *)
        cd "$(dirname "$0")/.."
        exec cargo run --release --quiet -p factlog-tests --bin power_cut_ext4 -- "$@"
        ;;
esac
