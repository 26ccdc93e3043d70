#!/bin/bash
# hw1 @what@, as jobs of Slurm: a check on a node, an array of tasks, the report. Yours to edit.
#   bash @script@  submits them; again: what is missing, as a finished trial never runs again
#   hw1 show --out @out@  how far it is; what the jobs say is in @out@/slurm
# Written by hw1 @version@, @digest@

folder=@folder@  # paths are from here
hw1=@hw1@
study=(@study@)
out=@out@
tasks=@tasks@  # parts of the trials; none waits for another
at_once=@at_once@  # tasks at a time; empty: all that there is room for
cpus=@cpus@  # cores of a task
jobs=@jobs@  # trials at a time in a task; empty: one a core, on GPUs what hw1 chooses
gpus=@gpus@  # GPUs of a task; each does a part of its trials
minutes=@minutes@  # what a task has not done by then it goes on with in its next turn
notice=120  # seconds before that at which it is told to write checkpoints; at most a third of its time
memory=@memory@  # of a task
clocks=60  # seconds that the clocks of nodes and of the file server may differ by
options=(@options@)  # of sbatch, as in (--partition=short --account=lab)

script=$(realpath "${BASH_SOURCE[0]}")
cd "$folder" || exit
(( notice * 3 <= minutes * 60 )) || notice=$(( minutes * 20 ))
id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}

submit() {
    mkdir -p "$out/slurm" || exit
    local log=${out//%/%%}/slurm job check array report
    job=(sbatch --parsable --chdir="$folder" --nodes=1 --ntasks=1 --cpus-per-task="$cpus" --mem="$memory"
        --open-mode=append --kill-on-invalid-dep=yes)
    (( gpus == 0 )) || job+=(--gres="gpu:$gpus")
    check=$("${job[@]}" --job-name=hw1-check --time=15 --output="$log/check-%j.log" "${options[@]}" "$script" check) || exit
    job+=(--time="$minutes" --signal="B:USR1@$notice" --requeue)
    array=$("${job[@]}" --job-name=hw1-tasks --array="0-$(( tasks - 1 ))${at_once:+%$at_once}" \
        --dependency="afterok:${check%;*}" --output="$log/tasks-%A_%a.log" "${options[@]}" "$script" task) &&
    report=$("${job[@]}" --job-name=hw1-report --dependency="afterok:${check%;*},afterany:${array%;*}" \
        --output="$log/report-%j.log" "${options[@]}" "$script" report) ||
        { local code=$?; scancel "${check%;*}" ${array:+"${array%;*}"}; exit "$code"; }
    echo "jobs ${check%;*} (check), ${array%;*} ($tasks tasks), ${report%;*} (report); what they say: $out/slurm"
}

# On a node, before all others: what would fail there fails here, in a line.
check() {
    local probe=$out/slurm/probe-$id said off device
    fail() { echo "hw1: no task is started: on $(hostname) $*" >&2; exit 1; }
    said=$("$hw1" --version 2>&1) || fail "$hw1 does not run: ${said##*$'\n'}"
    said=$( { : >"$probe"; } 2>&1 ) || fail "$out cannot be written: ${said##*: }"
    off=$(( $(date +%s) - $(stat -c %Y "$probe") ))
    rm -f "$probe"
    (( off >= -clocks && off <= clocks )) || fail "the clock is $off s ahead of that of $out"
    said=$("$hw1" "${study[@]}" --out "$out" --dry-run 2>&1) || fail "${said##*$'\n'}"
    for (( device = 0; device < gpus; device++ )); do
        said=$("$hw1" simulate --preset smoke --quiet --device "cuda:$device" --out "$(mktemp -d)" 2>&1) || fail "${said##*$'\n'}"
    done
}

# hw1 runs in the background, since signals reach a shell only between commands; it gets them passed on.
children=()
pass() { [[ ! ${children[*]} ]] || kill -"$1" "${children[@]}"; }
trap 'pass USR1' USR1
trap 'pass TERM' TERM
start() { "$@" & children+=($!); }
finish() { # once all have ended: 138 where one has checkpoints to go on from, else what failed, else 0
    local child each worst=0
    for child in "${children[@]}"; do
        while kill -0 "$child" 2>/dev/null; do wait "$child"; done
        wait "$child"
        each=$?
        (( worst == 138 || each == 0 )) || worst=$each
        (( each != 138 )) || worst=138
    done
    children=()
    return "$worst"
}

# Shard $1 of $2, by one hw1 a GPU or one in all; a task whose time is up goes back into the queue.
work() {
    local parts=$(( gpus > 0 ? gpus : 1 )) part code now best=-1 stuck=0 told=$out/slurm/of-$id with
    for (( part = 0; part < parts; part++ )); do
        with=(--out "$out" --shard "$(( $1 * parts + part ))/$(( $2 * parts ))")
        (( gpus == 0 )) || with+=(--device "cuda:$part")
        if [[ $jobs ]]; then with+=(--jobs "$jobs"); elif (( gpus == 0 )); then with+=(--jobs "$(cores)"); fi
        start "$hw1" "${study[@]}" "${with[@]}" >"$told.$part"
    done
    finish
    code=$?
    cat "$told".*
    if (( code == 138 )); then
        now=$(sed -n 's/.* interrupted with \([0-9]*\) of .* and \([0-9]*\) epochs.*/\1 \2/p' "$told".* |
            awk '{ d += $1; e += $2 } END { printf "%.0f", d * 1e12 + e }')
        [[ ! -e $told ]] || read -r best stuck <"$told"
        if (( now > best )); then best=$now stuck=0; else (( stuck++ )); fi
        (( stuck < 3 )) || { echo "hw1: task $id was requeued three times without a new record or a later checkpoint, and" \
            "stops; give it more minutes or notice" >&2; rm -f "$told" "$told".*; exit 1; }
        echo "$best $stuck" >"$told"
        requeue
    fi
    rm -f "$told" "$told".*
    return "$code"
}
requeue() { trap - USR1 TERM; scontrol requeue "$id" && sleep 60; exit 138; }
cores() { local bound=$(nproc) asked=${SLURM_CPUS_PER_TASK:-9999}; echo $(( bound < asked ? bound : asked )); }

case ${1:-submit} in
    submit) submit ;;
    check) check ;;
    task) work "$SLURM_ARRAY_TASK_ID" "$tasks" ;;
    report) # what tasks have not done, and the results
        work 0 1
        code=$?
        start "$hw1" report --out "$out"
        finish || { (( $? != 138 )) || requeue; exit 1; }
        exit "$code" ;;
    *) echo "bash $script [submit]" >&2; exit 2 ;;
esac
