using Microsoft.Win32.SafeHandles;

namespace Berth.Commands.Terminals;

/// <summary>
/// What the command line talks to: streams, environment and clock, so that tests can give it others. Results go to
/// standard output, everything meant for people goes to standard error.
/// </summary>
internal sealed class Terminal
{
    public required Stream Output { get; init; }

    public required TextWriter Out { get; init; }

    public required TextWriter Error { get; init; }

    /// <summary>What <see cref="Error"/> writes to; for bytes that are passed on as they are.</summary>
    public required Stream ErrorOutput { get; init; }

    /// <summary>Opens standard input; not done before something reads it.</summary>
    public required Func<Stream> OpenInput { get; init; }

    public required bool InputIsTerminal { get; init; }

    public required bool OutputIsTerminal { get; init; }

    public required bool ErrorIsTerminal { get; init; }

    public required Func<string, string?> Variable { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>A token that is canceled once nobody reads standard output any more. Asked for by what may wait long
    /// between two things that it prints.</summary>
    public Func<CancellationToken> WatchOutput { get; init; } = () => CancellationToken.None;

    /// <summary>Asks for the columns to lay help out for. Not before they are needed: asking makes the runtime
    /// send the terminal codes of its own.</summary>
    public required Func<int> FindWidth { get; init; }

    public int Width => FindWidth();

    /// <summary>Whether results may be coloured (https://no-color.org).</summary>
    public bool OutputIsColored => OutputIsTerminal && HasColor;

    public bool ErrorIsColored => ErrorIsTerminal && HasColor;

    private bool HasColor => string.IsNullOrEmpty(Variable("NO_COLOR")) && Variable("TERM") != "dumb";

    public static Terminal OfProcess()
    {
        Stream output = StandardStream.Output();
        Stream error = StandardStream.Error();
        return new Terminal
        {
            Output = output,
            Out = new StreamWriter(output) { AutoFlush = false, NewLine = "\n" },
            ErrorOutput = error,
            Error = new StreamWriter(error) { AutoFlush = true, NewLine = "\n" },
            OpenInput = OpenStandardInput,
            InputIsTerminal = !Console.IsInputRedirected,
            OutputIsTerminal = !Console.IsOutputRedirected,
            ErrorIsTerminal = !Console.IsErrorRedirected,
            Variable = Environment.GetEnvironmentVariable,
            Time = TimeProvider.System,
            WatchOutput = OutputWatch.Begin,
            FindWidth = () => Console.IsOutputRedirected ? 100 : WidthOfWindow(),
        };
    }

    /// <summary>Tells people what was refused or went wrong.</summary>
    public void Complain(string message) =>
        Error.WriteLine($"{Paint("berth:", Color.Red, ErrorIsColored)} {message}");

    public string Paint(string text, Color color, bool colored) => colored ? $"\e[{(int)color}m{text}\e[0m" : text;

    // A FileStream knows the length of a redirected file, which spares the server chunked framing.
    private static FileStream OpenStandardInput() =>
        new(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0);

    private static int WidthOfWindow()
    {
        try
        {
            return Math.Clamp(Console.WindowWidth, 60, 120);
        }
        catch (IOException)
        {
            return 80;
        }
    }
}

/// <summary>Codes of ECMA-48's "select graphic rendition".</summary>
internal enum Color
{
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
    Grey = 90,
}
