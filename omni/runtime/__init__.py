"""The ground that every room stands on: files, devices, other processes, fast linear layers. No models here."""
