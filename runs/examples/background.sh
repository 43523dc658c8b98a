# Runs on when you close this page: nobody has to watch.
for minute in 1 2; do
  for second in $(seq 5 5 60); do
    sleep 5
    echo "minute $minute, second $second: still working"
  done
done
echo "Finished after two minutes"
