#!/bin/sh
# Start the reverse proxy: write what nginx.conf.template leaves open, from the environment, and run nginx.
#
#   SERVERS   where the processes of the app are: "10.0.0.11:8501 10.0.0.12:8501"; addresses, not names
#   HOSTS     the names under which the app is asked for: "app.example.org www.example.org"; "_" and nothing else: any
#   LISTEN    the port, or address and port, at which the proxy answers
#   STATE     a folder that it may write to
#   BODIES    another, in which uploads wait to be whole; it has to hold ALL_UPLOADS of 21 MB (default: one in STATE)
#   TRUSTED   proxies before this one: "10.0.0.1 192.168.0.0/16". What they say of a visitor's address (X-Forwarded-For)
#             and of how they were asked (X-Forwarded-Proto) holds, and of nobody else
#   RATE, BURST, CONNECTIONS   of one address: requests a second in the long run, at once, and open at a time
#   UPLOADS, ALL_UPLOADS       how many files may be on their way at a time: of one address, and of all together
set -eu
: "${BODIES:=$STATE/bodies}" "${RATE:=100}" "${BURST:=1000}" "${CONNECTIONS:=500}" "${UPLOADS:=12}" "${ALL_UPLOADS:=48}"
here=$(dirname "$0")

number=0 known='' answered='' alone='' all=''
for server in $SERVERS; do
  number=$((number + 1))
  pattern=$(echo "$server" | sed 's/[].[]/\\&/g')
  known="$known  \"~^[0-9a-f]{32}\\.$number\$\" app_$number;
"
  answered="$answered  \"~(^|[ ,])$pattern\$\" $number;
"
  alone="${alone}upstream app_$number { server $server; keepalive 16; }
"
  all="$all  server $server max_fails=1 fail_timeout=10s;
"
done
trusted='' real=''
for address in ${TRUSTED:-}; do
  trusted="$trusted  $address 1;
"
  real="${real}set_real_ip_from $address;
"
done
[ -z "$real" ] || real="${real}real_ip_header X-Forwarded-For;
real_ip_recursive on;"
mkdir -p "$STATE" "$BODIES"
cat >"$STATE/places.conf" <<END
map \$cookie_vqvae_explorer_place \$at {
  default app;
$known}
map \$upstream_addr \$answered {
  default 0;
$answered}
geo \$realip_remote_addr \$behind_another {
  default 0;
$trusted}
map "\$behind_another \$http_x_forwarded_proto" \$asked_by {
  default \$scheme;
  "1 https" https;
  "1 http" http;
}
$real
$alone
upstream app {
  hash \$visitor consistent;
$all  keepalive 64;
}
END

[ "$HOSTS" = _ ] && HOSTS='~.'
for name in STATE BODIES LISTEN HOSTS RATE BURST CONNECTIONS UPLOADS ALL_UPLOADS; do
  eval "value=\$$name"
  script="${script:-}s|\${$name}|$(printf %s "$value" | sed 's/[&|\\]/\\&/g')|g;"
done
sed "$script" "$here/nginx.conf.template" >"$STATE/nginx.conf"
exec nginx -e stderr -c "$STATE/nginx.conf"
