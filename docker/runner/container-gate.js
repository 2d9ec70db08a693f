// Counterpart of docker-gate.sh in Kubernetes: the container hooks of the runner's image, once job-started.sh has let
// the job in. JavaScript, since the runner looks for the bash of a .sh hook on a PATH that a job's steps can add to.
const { existsSync } = require('node:fs')

if (!existsSync('/run/mimickit-runner/admitted')) {
  console.error('job-started.sh has not admitted this job, so there are no containers for it')
  process.exit(1)
}
require('/home/runner/k8s/index.js')
