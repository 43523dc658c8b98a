for file in config schema data; do
  echo "checking $file"
  sleep 1
done
echo "schema has 2 unknown fields" >&2
exit 3
