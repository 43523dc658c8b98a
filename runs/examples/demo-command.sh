for i in 1 2 3 4 5; do
  echo "Line $i"
  if [ "$i" -eq 3 ]; then
    echo "A word from stderr" >&2
  fi
  sleep 0.3
done
