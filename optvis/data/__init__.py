"""Images in any form: files, folders, arrays and tensors."""
