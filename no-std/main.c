/* Links the library into a program that has nothing of Rust's standard library. */
int gossip_no_std(void);

/* The precompiled `alloc` names it. Panics abort: nobody calls it. */
void rust_eh_personality(void) {}

int main(void) { return gossip_no_std(); }
