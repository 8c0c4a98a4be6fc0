namespace Berth.Server.Logs;

/// <summary>Which of a program's streams a line came by.</summary>
public enum LogStream
{
    Error,
    Output,
}

/// <summary>One line that a program wrote, or a part of a long one, without its line end.</summary>
/// <param name="Partial">The line was too long for one record and goes on in the next.</param>
/// <param name="Gap">About how many bytes were left out just before because the log had reached its
/// limit; 0 for none.</param>
public readonly record struct LogLine(
    DateTimeOffset At, LogStream Stream, ReadOnlyMemory<byte> Text, bool Partial, long Gap);

/// <param name="Follow">Go on with new lines until the run has ended.</param>
/// <param name="Tail">Only the last so many of the lines there are, however many records each has; null for
/// all.</param>
/// <param name="Since">Only lines written at or after this time; null for all.</param>
public sealed record LogQuery(bool Follow, int? Tail, DateTimeOffset? Since);
