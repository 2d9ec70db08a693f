"""Motion priors: diffusion models of windows of motion, which reward a policy for moving like clips (Mu 2025)."""
