using System.Text;
using Berth.Api.Errors;
using Berth.Commands.Contexts;

namespace Berth.Commands.Help;

/// <summary>A page of help that belongs to no command.</summary>
internal sealed record Topic(string Name, Func<string> Text);

/// <summary>The pages of help that belong to no command; the reference is made from them too.</summary>
internal static class Topics
{
    public static IReadOnlyList<Topic> All { get; } = [
        new("exit-codes", ExitCodes), new("environment", EnvironmentPage)];

    /// <summary>Exit codes and the error codes that lead to each, lowest first.</summary>
    public static IEnumerable<(int Code, string Meaning)> ExitCodeRows()
    {
        yield return (0, "success");
        foreach (IGrouping<int, ErrorEntry> group in ErrorCatalog.All.GroupBy(e => e.ExitCode).OrderBy(g => g.Key))
        {
            yield return (group.Key, string.Join("; ", group.Select(e => $"{e.Title.ToLowerInvariant()} ({e.Code})")));
        }

        yield return (Terminals.OutputException.FaultExitCode, "standard output can't be written");
        yield return (Terminals.OutputException.PipeExitCode, "whoever read the output stopped reading");
        yield return (143, "ended by SIGTERM");
    }

    private static string ExitCodes()
    {
        StringBuilder page = new("Exit codes of berth\n\n");
        page.Append(
            "'berth run' passes the program's own exit code on; one ended by a signal gives 128 plus its number.\n");
        page.Append(
            "Everything else is one of these (numbers as in sysexits.h where one fits; 130 is also Ctrl-C):\n\n");
        foreach ((int code, string meaning) in ExitCodeRows())
        {
            page.Append($"  {code,3}  {meaning}\n");
        }

        return page.ToString();
    }

    private static string EnvironmentPage() =>
        $"""
        Variables and files that berth reads

          BERTH_HOST      address of the server, for instance http://127.0.0.1:7070
          BERTH_TOKEN     token to show it; wins over the context's
          BERTH_CONTEXT   name of the context to use
          BERTH_DATA      data folder of the server on this machine
          SSL_CERT_FILE   certificates of authorities to trust in place of the system's
          NO_COLOR        no colours when set to anything
          XDG_CONFIG_HOME folder for settings instead of ~/.config

        The server is the first of: --host, BERTH_HOST, --context or BERTH_CONTEXT, the context in use ('berth context
        use'), {ServerTarget.DefaultAddress}. The token is the first of: BERTH_TOKEN, that of the context of the same
        server; for a server on this machine also admin.token in BERTH_DATA or {ServerTarget.DefaultDataFolder}, if it
        can be read (by root).

        Contexts and their tokens are kept in ~/.config/berth/config.json, readable by its owner alone. The settings of
        'berth serve' have variables of their own: docs/reference/configuration.md.


        """;
}
