"""What happens to poses after lifting: smoothing, places in the world, feet, joint angles."""
