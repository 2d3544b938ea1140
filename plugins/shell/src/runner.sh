__windlass_total=$# __windlass_done=0
trap '__windlass_status=$?
[ "$__windlass_done" -gt "$__windlass_total" ] ||
  printf "windlass: command %s of %s exited %s\n" "$__windlass_done" "$__windlass_total" "$__windlass_status" >&2
exit "$__windlass_status"' EXIT
for __windlass_command do
  [ "$__windlass_done" -ne 0 ] || set --
  __windlass_done=$((__windlass_done + 1))
  printf '\033[1m$ %s\033[0m\n' "$__windlass_command"
  set -e
  eval " $__windlass_command"
  __windlass_status=$?
  [ "$__windlass_status" -eq 0 ] || exit "$__windlass_status"
done
__windlass_done=$((__windlass_total + 1))
