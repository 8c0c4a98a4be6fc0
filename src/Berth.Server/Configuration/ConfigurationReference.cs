using System.Text;

namespace Berth.Server.Configuration;

/// <summary>Writes docs/reference/configuration.md from the table of keys.</summary>
public static class ConfigurationReference
{
    public static string Markdown()
    {
        StringBuilder text = new();
        text.Append(
            """
            # Configuration

            Everything an operator can decide, generated from the program's own table. For each setting the first of
            these that says something wins:

            1. the flag of `berth serve`, for instance `--max-running 16`;
            2. the environment variable, for instance `BERTH_MAX_RUNNING=16`;
            3. the configuration file (`--config PATH`, else `BERTH_CONFIG`, else `/etc/berth/config.json` if it
               exists);
            4. the default.

            The file is one JSON object; comments and trailing commas are allowed, unknown names are errors:

            ```json
            {
              // where images, runs and results live
              "data": "/var/lib/berth",
              "listen": ["127.0.0.1:7070", "[::1]:7070"],
              "max-running": 16
            }
            ```

            The server checks every value when it starts. A value it can't use stops it with a message that names
            the setting, the value, where it came from and what is expected. A list is an array in the file, and
            repeated flags or text with commas elsewhere.

            | Setting | Flag | Variable | Default | Value | What it decides |
            |---|---|---|---|---|---|

            """);
        foreach (ConfigurationKey key in ConfigurationKeys.All)
        {
            string fallback = key.Default.Length == 0 ? "(none)" : $"`{key.Default}`";
            string kind = key.Expected + (key.IsList ? " (several)" : "");
            text.Append($"| `{key.Name}` | `{key.Flag}` | `{key.Variable}` ");
            text.Append($"| {fallback} | {kind} | {key.Description} |\n");
        }

        return text.ToString();
    }
}
