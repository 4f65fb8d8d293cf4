# Runs a program that must not outlive the owner of this script's standard input, a pipe.
#   $1 the signal that asks the program to stop; $2 seconds it may take; $3 a folder to remove when the owner is gone, or empty;
#   $4 "log" sends the program's standard output to standard error; then the program and its arguments.
# The first line on standard output is the program's process id. This script ends when the program does, with its status.
# Nothing here can be forgotten by the owner: however it ends, kill -9 too, the system closes its end of the pipe.
signal=$1 grace=$2 remove=$3 output=$4
shift 4
exec 3<&0 </dev/null

if [ "$output" = log ]; then
    sh -c 'echo $$; exec "$@" >&2' sh "$@" 3<&- &
else
    sh -c 'echo $$; exec "$@"' sh "$@" 3<&- &
fi
program=$!

{
    read -r _ <&3
    # From here on the end of the program must not end this.
    trap '' TERM
    kill -s "$signal" "$program" && kill -s CONT "$program"
    while kill -s 0 "$program"; do
        if [ "$grace" -le 0 ]; then
            kill -s KILL "$program"
            break
        fi
        sleep 1
        grace=$((grace - 1))
    done
    if [ -n "$remove" ]; then
        rm -rf -- "$remove"
    fi
} >/dev/null 2>&1 &
watcher=$!

wait "$program"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
