#!/bin/bash
# Fills the registry with the images that pages name: Debian's nginx, and busybox under the names of
# distributions, whose tools are all that the pages use of them.
. "$(dirname "$0")/lib.sh"

serve_registry

root=/tmp/root
mkdir -p $root/{bin,etc/nginx,tmp,run,srv,var/log/nginx,var/lib/nginx}
for file in "$(command -v nginx)" $(ldd "$(command -v nginx)" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
done
busybox=$(command -v busybox)
cp "$busybox" $root/bin/busybox
busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$root/bin/$name"; done
printf 'root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33:w:/:/bin/false\n' >$root/etc/passwd
printf 'root:x:0:\nwww-data:x:33:\n' >$root/etc/group
echo 'Welcome to nginx' >$root/srv/index.html
cat >$root/etc/nginx/nginx.conf <<'END'
user www-data;
daemon off;
error_log stderr;
pid /run/nginx.pid;
events {}
http { access_log /dev/stdout; server { listen 80; root /srv; } }
END

tar -C $root -c . >/tmp/root.tar
deck import -c "CMD [\"$(command -v nginx)\"]" -c 'EXPOSE 80' /tmp/root.tar "$mirror/library/nginx"
for name in busybox alpine debian; do
    deck import -c 'CMD ["sh"]' /tmp/root.tar "$mirror/library/$name"
done
deck import -c 'CMD ["/bin/sleep", "1000000"]' /tmp/root.tar "$mirror/pause:3.10"
for name in nginx busybox alpine debian; do
    deck push -q "$mirror/library/$name"
done
deck push -q "$mirror/pause:3.10"
