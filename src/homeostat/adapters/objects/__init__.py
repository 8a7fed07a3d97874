"""Object stores: what pyarrow's file systems reach."""
