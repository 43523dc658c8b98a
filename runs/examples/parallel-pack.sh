for part in $(seq 1 10); do
  echo "packed part $part of 10"
  sleep 0.3
done
