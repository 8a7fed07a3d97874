"""`homeostat monitor`: a table compared with a reference, and the quality of its predictions without their labels."""
