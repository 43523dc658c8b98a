log=$(mktemp)

# A service that writes its log in the background.
(
  for request in $(seq 1 30); do
    echo "$(date +%T) GET /page/$request 200"
    if [ $((request % 10)) -eq 0 ]; then
      echo "$(date +%T) GET /missing 404"
    fi
    sleep 0.4
  done
  echo "$(date +%T) service stopped"
) >"$log" &

# Follow it from its first line until the service has ended.
tail -n +1 -f --pid=$! "$log"
echo "The log has ended"
