using System.CommandLine;

namespace Berth.Commands.Help;

/// <summary><c>berth completion</c>: a script for a shell, which asks this program for what may follow.</summary>
internal sealed class CompletionCommand : Verb
{
    private const string Bash = """
        _berth() {
            local IFS=$'\n' line="berth ${COMP_LINE#* }"
            local point=$((COMP_POINT - ${#COMP_LINE} + ${#line}))
            COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:$point]" "$line" 2>/dev/null)" \
                -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _berth berth

        """;

    private const string Zsh = """
        #compdef berth
        _berth() {
            local line="berth ${BUFFER#* }"
            local point=$((CURSOR - ${#BUFFER} + ${#line}))
            local -a found
            found=("${(@f)$(${words[1]} "[suggest:$point]" "$line" 2>/dev/null)}")
            found=(${found:#})
            if (( ${#found} )); then compadd -a found; else _files; fi
        }
        compdef _berth berth
        # As a file of fpath it is the function's own body, run at the first Tab.
        if [[ "${funcstack[1]}" = _berth ]]; then _berth "$@"; fi

        """;

    private const string Fish = """
        function __berth_complete
            set -l typed (commandline -cp)
            set -l line (string replace -r '^\S+' berth -- $typed)
            berth "[suggest:"(string length -- $line)"]" $line 2>/dev/null
        end
        complete -c berth -a '(__berth_complete)'

        """;

    private readonly Argument<string> shell = new("shell") { Description = "bash, zsh or fish" };

    public CompletionCommand()
        : base(
            "completion", "Print a script that completes berth's commands and options in a shell",
            new("berth completion bash > /etc/bash_completion.d/berth", "For every bash"),
            new("berth completion zsh > ~/.zfunc/_berth", "For every zsh, where ~/.zfunc is in fpath"),
            new("berth completion fish > ~/.config/fish/completions/berth.fish", "For every fish"))
    {
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        Add(shell);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        await session.Terminal.Out.WriteAsync(session.Get(shell) switch
        {
            "bash" => Bash,
            "zsh" => Zsh,
            _ => Fish,
        });
        return 0;
    }
}
