using System.CommandLine;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary><c>--prune</c>.</summary>
internal sealed class PruneOption : Option<bool>
{
    public PruneOption()
        : base("--prune") => Description = "Remove the project's functions that the files have no more";

    /// <summary>Whose functions are to be removed; null for nobody's.</summary>
    public IReadOnlySet<string>? Read(
        Session session, DeclarationFiles files, IReadOnlyCollection<Declaration> functions)
    {
        if (!session.Get(this))
        {
            return null;
        }

        IReadOnlySet<string> projects = files.Projects(session, functions);
        return projects.Count > 0 ? projects : throw new BerthException(
            ErrorCode.InvalidRequest,
            "--prune removes what belongs to a project and is in no file: name it with 'project: NAME' in the file, or "
            + "with --project.");
    }
}
