using System.Runtime.InteropServices;

namespace Berth.Native;

/// <summary>The other program in this file: the server, and what else needs all of Berth (main.c).</summary>
internal static partial class ServerPartProcess
{
    private const int CannotExecute = 126;

    /// <summary>Goes on as the server part with the same arguments.</summary>
    /// <returns>An exit code, when that fails.</returns>
    public static int Become()
    {
        int error = BecomeServerPart();
        Console.Error.WriteLine(
            $"berth: {Environment.ProcessPath} can't be started again: {Marshal.GetPInvokeErrorMessage(error)}.");
        return CannotExecute;
    }

    // Linked into this executable.
    [LibraryImport("main", EntryPoint = "become_server_part")]
    private static partial int BecomeServerPart();
}
