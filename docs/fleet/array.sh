#!/bin/bash
# An evaluation as a Slurm job array: sbatch array.sh. Each task gets SLURM_ARRAY_TASK_ID, from 0. Then, with the same flags,
#   python -m trainers.evaluate … --shards=500 --merge
# as a job of its own: sbatch --dependency=afterany:JOB …
#SBATCH --job-name=robustness
#SBATCH --array=0-499%50
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=08:00:00
srun python -m trainers.evaluate \
    --model="$HOME/runs/model.keras" \
    --dataset="$HOME/data/imagenet/validation" \
    --image_size=224,224 \
    --attack='auto_attack(linf(4/255))' \
    --output="$HOME/runs/evaluate" \
    --shards=500
