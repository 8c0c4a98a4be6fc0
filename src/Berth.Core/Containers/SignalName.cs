using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Core.Containers;

/// <summary>Signals as people write them: <c>SIGTERM</c>, <c>term</c> or <c>15</c> (signal(7), x86 and arm).</summary>
public static class SignalName
{
    /// <summary>The highest real-time signal.</summary>
    public const int Highest = 64;

    private static readonly string[] Names =
    [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static int Parse(string text)
    {
        string name = text.StartsWith("SIG", StringComparison.OrdinalIgnoreCase) ? text[3..] : text;
        int index = Array.FindIndex(Names, n => n.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (index >= 0)
        {
            return index + 1;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && number is > 0 and <= Highest
            ? number
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{(text.Length > 40 ? text[..40] + "…" : text)}' is no signal: write a name such as TERM or a number "
                + $"from 1 to {Highest}.");
    }

    /// <summary>With its prefix; the number where it has no name.</summary>
    public static string Of(int number) => number >= 1 && number <= Names.Length
        ? "SIG" + Names[number - 1]
        : number.ToString(CultureInfo.InvariantCulture);
}
