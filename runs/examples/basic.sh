echo "Starting on $(uname -s)"
for i in $(seq 1 20); do
  echo "Processing item $i"
  if [ $((i % 7)) -eq 0 ]; then
    echo "Warning: item $i was slow" >&2
  fi
  sleep 0.5
done
echo "Done: 20 items"
