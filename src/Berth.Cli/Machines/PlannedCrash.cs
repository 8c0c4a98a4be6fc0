using System.Diagnostics;
using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Faults;

namespace Berth.Cli.Machines;

/// <summary>
/// For the tests of what a kill leaves: ends this process as kill -9 does when it comes to a named point, the first
/// time or the nth. Asked for by two variables, so that no environment asks for it by mistake:
/// <c>BERTH_TEST_MODE=1 BERTH_CRASH_AT=TaskStored:3</c>.
/// </summary>
internal static class PlannedCrash
{
    private const string Plan = "BERTH_CRASH_AT";
    private const string Mode = "BERTH_TEST_MODE";

    /// <summary>Throws BerthException (InvalidConfiguration) when a crash is asked for that can't be.</summary>
    public static void Arm(Func<string, string?> variable)
    {
        if (variable(Plan) is not { Length: > 0 } text)
        {
            return;
        }

        if (variable(Mode) != "1")
        {
            throw Refused($"{Plan} ends the server in the middle of its work and is for tests: unset it.");
        }

        string[] parts = text.Split(':');
        if (!Enum.TryParse(parts[0], out CrashPoint planned))
        {
            throw Refused($"{Plan}: there is no crash point '{parts[0]}'.");
        }

        int left = parts.Length > 1 ? int.Parse(parts[1], CultureInfo.InvariantCulture) : 1;
        CrashPoints.Watch(point =>
        {
            if (point == planned && Interlocked.Decrement(ref left) == 0)
            {
                Process.GetCurrentProcess().Kill();
            }
        });
    }

    private static BerthException Refused(string message) => new(ErrorCode.InvalidConfiguration, message);
}
