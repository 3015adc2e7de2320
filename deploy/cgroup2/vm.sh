#!/usr/bin/env bash
# Runs one command in a virtual machine with a complete cgroup v2 hierarchy: Debian's kernel in qemu, with this
# machine's files under a writable overlay in memory.
#
#   usage: deploy/cgroup2/vm.sh DIRECTORY COMMAND [ARGUMENT...]
#
# The command runs as root in DIRECTORY. Its writes are discarded; /run and /dev/shm are empty. Exits with the
# command's exit code. By default the CPU is emulated in software, which is many times slower, so
# AGON_TEST_EMULATED=1 tells tests not to check times. ACCEL=kvm uses the hardware; MEMORY is in MiB.
#
# Installs missing packages with apt; that needs root.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '5s/^# *//p' "$0" >&2; exit 64; }
directory=$(realpath "$1"); shift

kernels() { find /lib/modules -mindepth 1 -maxdepth 1 -name '*-amd64' ! -name '*cloud*' -printf '%f\n' 2>/dev/null | sort -V; }
complete() {
  for tool in qemu-system-x86_64 busybox cpio modprobe; do command -v "$tool" >/dev/null || return; done
  [ -n "$(kernels)" ]
}
if ! complete; then
  echo "installing qemu and Debian's kernel" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    qemu-system-x86 linux-image-amd64 busybox-static cpio kmod >/dev/null
fi
kernel=$(kernels | tail -n 1)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=$work/image
mkdir -p "$image"/{bin,dev,host,layer,modules,proc,system}
cp "$(command -v busybox)" "$image/bin/busybox"

# The drivers for the shared file system, in load order.
position=100
while read -r file; do
  cp "$file" "$image/modules/$position-$(basename "$file")"
  position=$((position + 1))
done < <(for module in virtio_pci 9pnet_virtio 9p overlay; do
  modprobe --set-version "$kernel" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')

cat > "$image/init" <<'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do $bb insmod "$module"; done
$bb mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=1048576 machine /host
$bb mount -t tmpfs tmpfs /layer
$bb mkdir /layer/upper /layer/work
$bb mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /system
$bb mount -t proc proc /system/proc
$bb mount -t sysfs sysfs /system/sys
$bb mount -t devtmpfs devtmpfs /system/dev
$bb mkdir -p /system/dev/shm /system/dev/pts
for empty in run dev/shm; do $bb mount -t tmpfs tmpfs /system/$empty; done
$bb mount -t cgroup2 cgroup2 /system/sys/fs/cgroup
$bb ip link set lo up
$bb cp /command /system/run/command
exec $bb switch_root /system /bin/bash /run/command
INIT
chmod +x "$image/init"

{
  echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb'
  echo 'export AGON_TEST_EMULATED=1 AGON_TEST_REQUIRE_ENGINES=1'
  printf 'cd %q\n' "$directory"
  printf '%q ' "$@"
  # The exit code is passed through the console.
  printf '\necho "the command ended with $?"\nsync\necho o > /proc/sysrq-trigger\nsleep 60\n'
} > "$image/command"
(cd "$image" && find . | cpio --create --format=newc --quiet | gzip -1) > "$work/initrd"

qemu-system-x86_64 -accel "${ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m "${MEMORY:-4096}" \
  -display none -vga none -monitor none -serial stdio -no-reboot -nic none \
  -kernel "/boot/vmlinuz-$kernel" -initrd "$work/initrd" \
  -append 'console=ttyS0 quiet loglevel=1 panic=-1' \
  -virtfs local,path=/,mount_tag=machine,security_model=none,readonly=on,multidevs=remap \
  </dev/null | sed -u 's/\r//g' | tee "$work/log"
code=$(sed -n 's/^.*the command ended with \([0-9]*\)$/\1/p' "$work/log" | tail -n 1)
exit "${code:-70}"
