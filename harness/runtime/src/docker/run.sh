# Becomes a command. $1 is the file that its output goes to, or nothing; $2 the program; then come its environment and
# itself, as `env` takes them. The first line on standard output is ours: + and the number of the process, or - and
# what is wrong.
umask 077
log=$1 program=$2
shift 2
found=
case $program in
    */*) [ -f "$program" ] && [ -x "$program" ] && found=1 ;;
    *)
        rest=$PATH:
        while [ -z "$found" ] && [ -n "$rest" ]; do
            file=${rest%%:*}/$program
            rest=${rest#*:}
            [ -f "$file" ] && [ -x "$file" ] && found=1
        done
        ;;
esac
[ -n "$found" ] || { echo "-program"; exit 127; }
exec 3>&1
if [ -n "$log" ]; then
    [ -L "$log" ] && { echo "-log it is a symbolic link"; exit 126; }
    [ -e "$log" ] && [ ! -f "$log" ] && { echo "-log it is not a file"; exit 126; }
    exec >>"$log" 2>&1
fi
echo "+$$" >&3
exec 3>&- env -i "$@"
