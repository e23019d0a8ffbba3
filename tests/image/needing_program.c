int needed(void);
int main(void) { return needed(); }
