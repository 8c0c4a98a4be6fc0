using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Oci.Content;

namespace Berth.Server.Hosting;

/// <summary>
/// Who this server is among those that share a store: an id in its data folder, made at first start. What it had under
/// way is its own again after a restart. A backup leaves it out, so that a copy is another server.
/// </summary>
internal static class ServerIdentity
{
    public static string LoadOrCreate(string path, TimeProvider time)
    {
        if (!File.Exists(path))
        {
            DurableFile.ReplacePrivate(
                path, System.Text.Encoding.ASCII.GetBytes(RunId.New(time.GetUtcNow()).Text + "\n"));
        }

        string text = File.ReadAllText(path).Trim();
        return RunId.TryParse(text, out RunId id)
            ? id.Text
            : throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The file {path} holds no id of a server: delete it, and this server begins as a new one.");
    }
}
