namespace Berth.Commands.Declarations;

/// <summary>A place in a file. Lines and columns from 1.</summary>
internal readonly record struct Mark(string File, long Line, long Column) : IComparable<Mark>
{
    public int CompareTo(Mark other) => (Line, Column).CompareTo((other.Line, other.Column));

    public override string ToString() => $"{File}:{Line}:{Column}";
}

/// <summary>What is wrong with a file, and where.</summary>
internal sealed record Complaint(Mark At, string Text)
{
    public override string ToString() => $"{At}: {Text}";
}

/// <summary>A file can't be read at all.</summary>
internal sealed class UnreadableException(Complaint complaint) : Exception(complaint.ToString())
{
    public Complaint Complaint => complaint;
}
