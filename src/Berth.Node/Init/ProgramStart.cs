using System.Text;
using Berth.Core.Errors;
using Berth.Init.Protocol;

namespace Berth.Node.Init;

/// <summary>The program a sandbox is to run, image and order already merged.</summary>
/// <param name="Arguments">The whole command; the first is looked up in PATH unless it has a slash.</param>
/// <param name="Environment">Complete; PATH and HOME are added by the init when missing.</param>
/// <param name="User">As in an image's USER; empty is root.</param>
/// <param name="WorkingDirectory">Absolute; made when missing.</param>
public sealed record ProgramStart(
    IReadOnlyList<string> Arguments,
    IReadOnlyDictionary<string, string> Environment,
    string User = "",
    string WorkingDirectory = "/")
{
    /// <summary>How long the report that it runs may wait for its end, to be told with it; below 256 ms.</summary>
    public TimeSpan Patience { get; init; }

    /// <summary>Not that of further programs beside it.</summary>
    public ProgramScheduling Scheduling { get; init; }

    /// <summary>The frame for a sandbox's main program. Throws BerthException (InvalidRequest) for what no execve could
    /// take.</summary>
    internal ReadOnlyMemory<byte> Encode(StandardStreams streams)
    {
        Texts texts = Checked();
        return StartFrame.Encode(
            texts.User, texts.Folder, texts.Arguments, texts.Environment, streams,
            checked((byte)Patience.TotalMilliseconds), Scheduling);
    }

    /// <summary>The frame for a further program; throws as the other.</summary>
    internal ReadOnlyMemory<byte> EncodeFurther(int id, StandardStreams streams)
    {
        Texts texts = Checked();
        return ExecFrame.Encode(id, texts.User, texts.Folder, texts.Arguments, texts.Environment, streams);
    }

    /// <summary>Throws BerthException (InvalidRequest) for what no execve could take.</summary>
    internal void Check() => _ = Checked();

    private Texts Checked()
    {
        if (Arguments.Count == 0 || Arguments[0].Length == 0)
        {
            throw Refuse("The command is empty. Give one, or an image with an ENTRYPOINT or CMD.");
        }

        if (!WorkingDirectory.StartsWith('/'))
        {
            throw Refuse($"The working directory '{WorkingDirectory}' is not an absolute path.");
        }

        Budget budget = new();
        byte[][] arguments = [.. Arguments.Select(a => budget.Spend("An argument", a, FrameLimits.MaxText))];
        byte[][] environment = [.. Environment.Select(e => EncodeVariable(budget, e.Key, e.Value))];
        return new Texts(
            Text("The user", User, FrameLimits.MaxUser),
            Text("The working directory", WorkingDirectory, FrameLimits.MaxPath),
            arguments,
            environment);
    }

    private static byte[] EncodeVariable(Budget budget, string name, string value)
    {
        if (name.Length == 0 || name.Contains('=', StringComparison.Ordinal))
        {
            throw Refuse($"The environment variable name '{name}' is empty or contains '='.");
        }

        return budget.Spend($"The environment variable {name}", $"{name}={value}", FrameLimits.MaxText);
    }

    private static byte[] Text(string what, string value, int limit)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        if (bytes.Length > limit)
        {
            throw Refuse($"{what} has {bytes.Length} bytes; at most {limit} are possible.");
        }

        return bytes.Contains((byte)0) ? throw Refuse($"{what} contains a NUL byte.") : bytes;
    }

    private static BerthException Refuse(string message) => new(ErrorCode.InvalidRequest, message);

    private sealed record Texts(byte[] User, byte[] Folder, byte[][] Arguments, byte[][] Environment);

    /// <summary>Bytes and count of arguments and environment together.</summary>
    private sealed class Budget
    {
        private int bytes;
        private int count;

        public byte[] Spend(string what, string value, int limit)
        {
            byte[] text = Text(what, value, limit);
            bytes += text.Length;
            count++;
            if (bytes > FrameLimits.MaxTexts || count > FrameLimits.MaxTextCount)
            {
                throw Refuse(
                    $"Arguments and environment together exceed {FrameLimits.MaxTexts} bytes or "
                    + $"{FrameLimits.MaxTextCount} entries. Send large data as input.");
            }

            return text;
        }
    }
}

/// <summary>What became of a start.</summary>
public abstract record StartOutcome
{
    private StartOutcome()
    {
    }

    /// <param name="Pid">The program's process id inside the sandbox.</param>
    /// <param name="Since">How long it had run when that was told.</param>
    public sealed record Started(int Pid, TimeSpan Since = default) : StartOutcome
    {
        internal static Started Of(StartedFrame frame) =>
            new(frame.Pid, TimeSpan.FromMicroseconds(frame.SinceMicroseconds));
    }

    /// <summary>The image or the order is to blame: no such command, user, or working directory.</summary>
    /// <param name="Detail">A sentence for people, naming what was tried.</param>
    public sealed record EntryPointMissing(string Detail) : StartOutcome;
}

/// <summary>The end of the program and of everything it started, as the init saw it.</summary>
/// <param name="ExitCode">0 when a signal ended it.</param>
/// <param name="Signal">0 when it exited by itself.</param>
/// <param name="PeakResident">Bytes of the largest single process.</param>
public sealed record ProgramExit(int ExitCode, int Signal, TimeSpan UserTime, TimeSpan SystemTime, long PeakResident)
{
    internal static ProgramExit Of(ExitedFrame frame) => new(
        frame.ExitCode, frame.Signal, TimeSpan.FromMicroseconds(frame.UserMicroseconds),
        TimeSpan.FromMicroseconds(frame.SystemMicroseconds), frame.PeakResidentKibibytes * 1024);
}
