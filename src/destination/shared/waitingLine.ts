/** First in, first out, without moving what remains: `Array.shift` is linear once a line is long. */
export class WaitingLine<T> {
  private members: T[] = [];
  private head = 0;

  get length(): number {
    return this.members.length - this.head;
  }

  push(member: T): void {
    this.members.push(member);
  }

  shift(): T | undefined {
    const member = this.members[this.head];
    if (member === undefined) return undefined;
    this.head++;
    if (this.head === this.members.length) this.clear();
    else if (this.head >= 1024 && this.head * 2 > this.members.length) this.compact();
    return member;
  }

  private clear(): void {
    this.members = [];
    this.head = 0;
  }

  private compact(): void {
    this.members = this.members.slice(this.head);
    this.head = 0;
  }
}
