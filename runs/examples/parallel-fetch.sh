for page in 1 2 3 4 5; do
  echo "fetched page $page"
  sleep 0.7
done
